"""The pixels themselves: blocks of craters, lazily, as images, or through a function."""
