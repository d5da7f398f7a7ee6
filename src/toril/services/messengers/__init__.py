"""Short messages to people's phones and chats: Telegram, SMS."""
