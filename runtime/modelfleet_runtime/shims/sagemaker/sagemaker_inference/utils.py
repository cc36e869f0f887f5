"""Small parts of headers."""


def parse_accept(accept: str) -> list[str]:
    return accept.replace(" ", "").split(",")


def retrieve_content_type_header(request_property: dict[str, str]) -> str | None:
    for key, value in request_property.items():
        if key.lower().replace("-", "").startswith("contenttype"):
            return value
    return None
