"""The endpoint of stock gateways: DRPC over yamux over a WebSocket."""
