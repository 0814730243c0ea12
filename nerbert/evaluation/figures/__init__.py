"""What pictures of results are made of; `nerbert.render.figures` draws them."""
