"""The post's reference 2, *Only Numpy: Decoupled Recurrent Neural Network*, on its own."""
