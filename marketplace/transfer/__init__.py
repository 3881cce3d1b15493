"""The data plane: what is delivered, how it is opened, streamed window by window, closed and settled."""
