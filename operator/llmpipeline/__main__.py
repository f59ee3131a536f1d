"""`python -m llmpipeline` is the command line."""

from llmpipeline.cli.main import main

if __name__ == "__main__":
    main()
