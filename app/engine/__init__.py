"""The engine: the child process that runs the model. It knows nothing of Qt and alone imports llama_cpp."""
