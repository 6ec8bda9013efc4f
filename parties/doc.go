// Package parties knows who is connected: platforms, the parties and roles
// they speak for, their credentials tokens and endpoints.
//
// Platform is the record. Directory answers from memory: an immutable snapshot,
// swapped atomically, in which a request finds its caller by token and its
// receiver by party without any I/O. Registrar is the handshake in both
// directions (2.2.1 credentials): the hub as Receiver of a registration and as
// its Sender, renewal, and the end; it holds no lock and no transaction while
// it calls a peer. Agreements say which parties may exchange what, on a hub that
// requires them. Monitor keeps who can be reached, and tells platforms of the
// parties of the others (2.2.1 mod_hub_client_info). Follower keeps the
// directories of all replicas equal to the record.
//
// The package does not route messages, serve HTTP or know a database: Store
// and Cache are implemented in package storage.
package parties
