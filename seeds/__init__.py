"""One believable small world, used by the demo, the documentation and the tests alike."""
