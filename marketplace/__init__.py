"""A trusted data space and exchange for medical data assets.

The rooms below stand in the order of the story; an upper room may import a lower one, never the reverse
(import-linter holds it, see pyproject.toml).
"""

__version__ = "0.1.0"
