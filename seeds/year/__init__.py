"""A year of an invented hospital with many assets, told month by month through the product's own verbs."""

from seeds.year.command import tell

__all__ = ["tell"]
