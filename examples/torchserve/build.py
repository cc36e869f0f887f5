"""Trains the small network and packs it with the real torch-model-archiver.

uv run --extra runtime-torch --with scikit-learn python examples/torchserve/build.py [FOLDER]

FOLDER, where digits.mar is written, is the working directory where none is given.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from sklearn.datasets import load_digits

HERE = Path(__file__).parent
ARCHIVER = "torch-model-archiver==0.12.0"


def main():
    sys.path.insert(0, str(HERE))
    from net import Net

    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    torch.manual_seed(0)
    pixels, digits = (torch.tensor(part) for part in load_digits(return_X_y=True))
    pixels = pixels.float()
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(200):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(pixels), digits).backward()
        optimizer.step()
    with tempfile.TemporaryDirectory() as work:
        weights = Path(work) / "weights.pt"
        torch.save(net.state_dict(), weights)
        subprocess.run(
            [
                "uvx", "--from", ARCHIVER, "torch-model-archiver", "--force",
                "--model-name", "digits", "--version", "1.0",
                "--model-file", HERE / "net.py", "--serialized-file", weights,
                "--handler", HERE / "handler.py", "--config-file", HERE / "model-config.yaml",
                "--extra-files", HERE / "index_to_name.json", "--export-path", folder,
            ],
            check=True,
        )  # fmt: skip
    right = (net(pixels).argmax(1) == digits).float().mean().item()
    print(f"{folder / 'digits.mar'}: {right:.1%} of the digits are read right")


if __name__ == "__main__":
    main()
