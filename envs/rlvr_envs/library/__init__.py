"""The environments that come with the kit, one a module. A new module here is found by itself."""
