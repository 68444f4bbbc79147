"""The service behind `biranet serve`: REST, the Open Inference Protocol and the page, over one `Grader` a worker.

One process answers HTTP and opens no photo; worker processes prepare and compute, and come back when they are killed.
What needs fastapi, uvicorn, python-multipart or prometheus-client is imported here and nowhere else.
"""
