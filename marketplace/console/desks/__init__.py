"""Desks: what a participant's own books and contracts say, as pages; every figure is one that the API says too."""
