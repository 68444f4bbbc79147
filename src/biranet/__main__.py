"""`python -m biranet` is `biranet`."""

from biranet.cli import main

if __name__ == "__main__":
    main()
