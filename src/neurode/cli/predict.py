def predict(): "x"
