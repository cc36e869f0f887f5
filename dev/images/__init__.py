"""Where do the images of the operator, the router and the runtime come from?

`build(flavor="onnx")` answers with all of them as OCI archives; `python3 -m dev.images --help` is
the same for a person. The room uses the standard library alone, because it also starts where no
virtual environment exists.

A reader's way, in the order things happen::

    recipe             what goes into an image, and the key made from it
    shelf              the archives that are there, and which are kept
    docker, buildah    the two builders; surroundings: what they have to know of the network
    base               what buildah builds on
    archive            layers -> one file that containerd imports
    builds             the steps of a build
"""

from dev.images.builds import build
from dev.images.errors import Refused
from dev.images.image import Image, Images

__all__ = ["Image", "Images", "Refused", "build"]
