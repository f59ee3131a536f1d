"""Models small enough to load anywhere in seconds: random weights, and a tokenizer trained on the spot.

Nothing is downloaded, and neither torch nor transformers is imported, which would take longer than all the rest.
"""

from typing import Final

# The kinds of work that a model is for.
GENERATE: Final = "generate"
CLASSIFY: Final = "classify"
EMBED: Final = "embed"
SUMMARIZE: Final = "summarize"
