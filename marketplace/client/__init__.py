"""What API clients use: the command line, the seeds, the tests.  It knows the kernel and HTTP, and no room."""
