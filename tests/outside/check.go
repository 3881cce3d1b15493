// Command check reads a log over HTTP with other people's libraries only: checkpoint, cosignature, tiles, proofs.
//
// It calls golang.org/x/mod/sumdb and filippo.io/torchwood and computes nothing of its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	base := flag.String("log", "", "address of the log, without /checkpoint")
	logKey := flag.String("log-key", "", "verifier key of the log")
	witnessKey := flag.String("witness-key", "", "verifier key of the witness")
	entry := flag.String("entry", "", "file with the exact text of an entry")
	index := flag.Int64("index", 0, "its leaf number")
	old := flag.String("old", "", "file with an older checkpoint of the same log")
	flag.Parse()
	logVerifier, err := note.NewVerifier(*logKey)
	must(err)
	witness, err := torchwood.NewCosignatureVerifier(*witnessKey)
	must(err)
	response, err := http.Get(*base + "/checkpoint")
	must(err)
	signed, err := io.ReadAll(response.Body)
	must(err)
	head := open(signed, logVerifier, witness)

	tiles, err := torchwood.NewTileFetcher(*base)
	must(err)
	tree := torchwood.TileHashReaderWithContext(context.Background(), head.Tree, tiles)
	text, err := os.ReadFile(*entry)
	must(err)
	inclusion, err := tlog.ProveRecord(head.N, *index, tree)
	must(err)
	must(tlog.CheckRecord(inclusion, head.N, head.Hash, *index, tlog.RecordHash(text)))
	if *old != "" {
		before, err := os.ReadFile(*old)
		must(err)
		former := open(before, logVerifier, witness)
		growth, err := tlog.ProveTree(head.N, former.N, tree)
		must(err)
		must(tlog.CheckTree(growth, head.N, head.Hash, former.N, former.Hash))
	}
	fmt.Printf("log %s of %d entries: cosigned; entry %d is in it\n", head.Origin, head.N, *index)
}

// open demands both signatures.
func open(signed []byte, keys ...note.Verifier) torchwood.Checkpoint {
	n, err := note.Open(signed, note.VerifierList(keys...))
	must(err)
	if len(n.Sigs) != len(keys) {
		log.Fatalf("signed by %d of %d keys", len(n.Sigs), len(keys))
	}
	head, err := torchwood.ParseCheckpoint(n.Text)
	must(err)
	if head.Origin != keys[0].Name() {
		log.Fatalf("the checkpoint is of %q, the key of %q", head.Origin, keys[0].Name())
	}
	return head
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
