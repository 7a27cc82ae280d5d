"""From a request to tasks: regions and craters on a grid, the plan of tiles, the graph."""
