"""What a person sees: frozen values to widgets, markup and text; the only markup, and what is known of the kernel.

Imports answers, and what is below it. Importing it loads neither ipywidgets nor IPython nor tqdm; the first view that
needs them does.
"""
