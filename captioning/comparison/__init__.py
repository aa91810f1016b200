"""Compare the rows of a suite: results, tests, drawings and the page."""
