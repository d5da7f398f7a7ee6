"""The store of many machines: a Redis server, alone, behind Sentinels or as a Cluster."""
