"""The public functions and classes that start runs. They combine the engine with its observers."""
