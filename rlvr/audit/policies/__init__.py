"""The degenerate policies that every audit tries, one idea a module. A new function here is found by itself."""
