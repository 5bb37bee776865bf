"""How a container's processes are started, limited, watched and ended."""
