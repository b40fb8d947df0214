def predict():
    "x"
