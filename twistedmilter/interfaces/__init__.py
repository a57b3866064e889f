"""Every zope interface between the layers; what a check implements is what it subscribes to."""
