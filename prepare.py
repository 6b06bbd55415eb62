"""Run `personality-prepare` from the source tree: `python prepare.py --help`."""

from personality.scripts.prepare import main

if __name__ == "__main__":
    main()
