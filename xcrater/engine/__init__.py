"""From a request to tasks: regions, craters on a grid, the plan of tiles, the graph."""
