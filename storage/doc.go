// Package storage opens what the hub keeps its data in. It is the one place
// that reads the schemes of BUSBAR_DATABASE and BUSBAR_REDIS:
//
//	sqlite:FILE                     storage/sqldb on a file
//	postgres://, postgresql://      storage/sqldb on Postgres
//	redis://, rediss://             storage/rediscache
//	no Redis                        news and broadcasts stay in this process; there
//	                                is no live feed
//
// Open returns Stores, whose fields are the interfaces that the packages above
// declare: they do not see which database answers.
//
// A hub on SQLite or without Redis is an embedded one, of a single replica. One
// without Redis for a while goes on: SQL is the record, the cache calls fail,
// and their callers read the record instead; broadcasts wait in memory.
//
// The package holds no SQL and no Redis command, and no rule of OCPI.
package storage
