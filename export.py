"""Run `personality-export` from the source tree: `python export.py --help`."""

from personality.scripts.export import main

if __name__ == "__main__":
    main()
