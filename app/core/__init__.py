"""The pure core: values and rules without Qt, llama_cpp or input and output."""
