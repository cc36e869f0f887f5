"""As much of protocol buffers as the hot path needs: fields of bytes, read and written by hand."""


def varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field_head(number: int, length: int) -> bytes:
    """What stands before `length` bytes of the field."""
    return varint(number << 3 | 2) + varint(length)


def field(number: int, content: bytes) -> bytes:
    return field_head(number, len(content)) + content


def length_at(message: bytes, at: int) -> tuple[int, int]:
    """The length that stands at `at`, and where what it counts begins.

    Raises `IndexError` where the message ends before, `ValueError` where it is no length.
    """
    byte = message[at]
    if byte < 0x80:
        return byte, at + 1
    length = byte & 0x7F
    shift = 7
    while True:
        at += 1
        byte = message[at]
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            return length, at + 1
        shift += 7
        if shift > 28:
            raise ValueError("no length")
