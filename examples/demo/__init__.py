"""A merge problem in miniature: three tiny models, the texts they learn and the questions they are asked."""
