"""Writing a merged model, with what goes along."""
