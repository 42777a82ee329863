"""The provider in a tab: Python in a worker, slots in Web Workers. Only main.py imports Pyodide; nothing imports `js`."""
