"""Web pages, rendered on the server, in English and Chinese; they work without JavaScript and load nothing remote."""
