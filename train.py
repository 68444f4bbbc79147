"""Train BiRA-Net from a checkout: `python train.py` is `biranet train`."""

import sys

from biranet.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
