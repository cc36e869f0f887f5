"""One label of a metric and its value."""


class Dimension:
    def __init__(self, name: str, value: object) -> None:
        self.name = name
        self.value = str(value)

    def __str__(self) -> str:
        return f"{self.name}:{self.value}"

    def to_dict(self) -> dict[str, str]:
        return {"Name": self.name, "Value": self.value}
