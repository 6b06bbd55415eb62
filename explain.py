"""Run `personality-explain` from the source tree: `python explain.py --help`."""

from personality.scripts.explain import main

if __name__ == "__main__":
    main()
