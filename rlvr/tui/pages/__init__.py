"""The pages of the browser, from the runs down to one completion; each is a module."""
