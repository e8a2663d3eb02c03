"""Where tasks come from: pictures in memory, and the samplers that draw from them."""
