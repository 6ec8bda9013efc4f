// Package parties knows who is connected: platforms, the parties and roles
// they speak for, their credentials tokens and endpoints.
//
// Platform is the record. Directory answers from memory: an immutable snapshot,
// swapped atomically, in which a request finds its caller by token and its
// receiver by party without any I/O. Registrar is the handshake in both
// directions (2.2.1 credentials): the hub as Receiver of a registration and as
// its Sender, renewal, and the end; it holds no lock and no transaction while
// it calls a peer. Presence keeps when a platform was last heard.
//
// The package does not route messages, serve HTTP or know a database: Store
// and Cache are implemented in package storage.
package parties
