"""The units that the metric calls take."""

units = {
    "ms": "Milliseconds",
    "s": "Seconds",
    "percent": "Percent",
    "count": "Count",
    "MB": "Megabytes",
    "GB": "Gigabytes",
    "KB": "Kilobytes",
    "B": "Bytes",
    "": "unit",
}


class Units:
    def __init__(self) -> None:
        self.units = units
