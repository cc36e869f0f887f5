"""Sends the held-out digits to a served model and prints how many it reads right.

    python3 evaluate.py http://digits held-out.json

It needs nothing but Python: the protocol is the Open Inference Protocol v2, JSON over HTTP.
"""

import json
import sys
import urllib.error
import urllib.request

BATCH = 60
SHADES = " .:-=+*#%@"


def ask(url: str, images: list[list[float]]) -> list[int]:
    """The digit that the model reads in each image (64 grey values from 0 to 16, row by row)."""
    body = {
        "inputs": [
            {
                "name": "pixels",
                "shape": [len(images), 64],
                "datatype": "FP32",
                "data": [value for image in images for value in image],
            }
        ],
        "outputs": [{"name": "digit"}],
    }
    request = urllib.request.Request(
        f"{url}/v2/models/digits/infer",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        outputs = json.load(answer)["outputs"]
    digits: list[int] = next(o for o in outputs if o["name"] == "digit")["data"]
    return digits


def draw(image: list[float]) -> list[str]:
    """Eight lines of sixteen characters."""
    rows = [image[start : start + 8] for start in range(0, 64, 8)]
    return ["".join(SHADES[round(value * 9 / 16)] * 2 for value in row) for row in rows]


def main() -> int:
    url, path = sys.argv[1], sys.argv[2]
    with open(path, encoding="utf-8") as file:
        held_out = json.load(file)
    images, labels = held_out["images"], held_out["labels"]
    read: list[int] = []
    try:
        for start in range(0, len(images), BATCH):
            read += ask(url, images[start : start + BATCH])
    except urllib.error.URLError as error:
        print(f"the model at {url} did not answer: {error}", file=sys.stderr)
        return 1
    right = sum(one == other for one, other in zip(read, labels, strict=True))
    shown = [labels.index(label) for label in list(dict.fromkeys(labels))[:3]]
    for lines in zip(*(draw(images[which]) for which in shown), strict=True):
        print("    " + "    ".join(lines).rstrip())
    print("    " + "    ".join(f"read as {read[which]}".ljust(16) for which in shown).rstrip())
    print()
    print(f"accuracy on {len(images)} held-out images: {100 * right / len(images):.1f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
