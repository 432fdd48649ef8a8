"""The rewards that come with the kit, one idea a module. A new module here is found by itself."""
