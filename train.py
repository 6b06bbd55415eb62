"""Run `personality-train` from the source tree: `python train.py --help`."""

from personality.scripts.train import main

if __name__ == "__main__":
    main()
