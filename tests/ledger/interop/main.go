// Interop checks what tallystick wrote with the libraries under Go's checksum database:
// golang.org/x/mod/sumdb/note for keys and signed notes, golang.org/x/mod/sumdb/tlog for the tree.
// Nothing of tallystick is used here, so an error in its own checks cannot hide an error in its proofs.
//
//	interop evidence.json
//
// The file holds one evidence. At the first thing that does not hold, or that holds with a bit flipped,
// interop says what it is and exits with 1. Otherwise it prints a summary: how often it checked what.
// test_go.py, one folder up, makes the evidence and knows the numbers.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// evidence is what test_go.py writes. Hashes and entries are in base64.
type evidence struct {
	Verifier    string        `json:"verifier"`
	Signer      string        `json:"signer"`
	Checkpoints []string      `json:"checkpoints"` // notes, by ascending size
	Entries     [][]byte      `json:"entries"`     // of all leaves
	Roots       []tlog.Hash   `json:"roots"`       // of the trees of 1, 2, 3 … leaves
	Inclusion   []inclusion   `json:"inclusion"`
	Consistency []consistency `json:"consistency"`
	Tiles       string        `json:"tiles"` // a c2sp.org/tlog-tiles directory; empty: none to check
}

type inclusion struct {
	Index int64       `json:"index"`
	Size  int64       `json:"size"`
	Path  []tlog.Hash `json:"path"`
}

type consistency struct {
	First  int64       `json:"first"`
	Second int64       `json:"second"`
	Path   []tlog.Hash `json:"path"`
}

// summary counts what held, and, as refused, the flipped bits that were noticed.
type summary struct {
	Checkpoints        int    `json:"checkpoints"`
	CheckpointsRefused int    `json:"checkpoints_refused"`
	Roots              int    `json:"roots"`
	Inclusion          int    `json:"inclusion"`
	InclusionRefused   int    `json:"inclusion_refused"`
	Consistency        int    `json:"consistency"`
	ConsistencyRefused int    `json:"consistency_refused"`
	TileRecords        int    `json:"tile_records"`
	TilesRefused       int    `json:"tiles_refused"`
	Signed             string `json:"signed"` // Go's own checkpoint of all entries
}

func main() {
	log.SetFlags(0)
	demand(len(os.Args) == 2, "usage: interop evidence.json")
	data, err := os.ReadFile(os.Args[1])
	accept(err, "reading the evidence")
	var given evidence
	accept(json.Unmarshal(data, &given), "reading the evidence")
	verifier, err := note.NewVerifier(given.Verifier)
	accept(err, "the verifier key")

	var done summary
	checkpoints := checkNotes(given.Checkpoints, verifier, &done)
	roots := checkRoots(given, checkpoints, &done)
	signed := map[int64]tlog.Hash{}
	for _, c := range checkpoints {
		signed[c.size] = c.root
	}
	checkInclusion(given, signed, &done)
	checkConsistency(given, signed, &done)
	if given.Tiles != "" {
		checkTiles(given, checkpoints, verifier, &done)
	}
	done.Signed = sign(given.Signer, roots)
	accept(json.NewEncoder(os.Stdout).Encode(done), "writing the summary")
}

// Notes

type checkpoint struct {
	origin string
	size   int64
	root   tlog.Hash
}

// text is the c2sp.org/tlog-checkpoint form. tlog.FormatTree writes another one, that of go.sum.
func (c checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.origin, c.size, c.root)
}

func openCheckpoint(msg []byte, verifier note.Verifier) (checkpoint, error) {
	opened, err := note.Open(msg, note.VerifierList(verifier))
	if err != nil {
		return checkpoint{}, err
	}
	lines := strings.SplitAfter(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return checkpoint{}, fmt.Errorf("not three lines: %q", opened.Text)
	}
	var c checkpoint
	c.origin = strings.TrimSuffix(lines[0], "\n")
	if c.size, err = strconv.ParseInt(strings.TrimSuffix(lines[1], "\n"), 10, 64); err != nil {
		return checkpoint{}, err
	}
	if c.root, err = tlog.ParseHash(strings.TrimSuffix(lines[2], "\n")); err != nil {
		return checkpoint{}, err
	}
	if c.text() != opened.Text || c.origin != verifier.Name() {
		return checkpoint{}, fmt.Errorf("not in canonical form, or not by its origin: %q", opened.Text)
	}
	return c, nil
}

func checkNotes(notes []string, verifier note.Verifier, done *summary) []checkpoint {
	var checkpoints []checkpoint
	for _, msg := range notes {
		c, err := openCheckpoint([]byte(msg), verifier)
		accept(err, "a checkpoint")
		checkpoints = append(checkpoints, c)
		done.Checkpoints++

		// The signature line again, in parts, so that bits can be flipped under its base64.
		prefix := fmt.Sprintf("%s\n— %s ", c.text(), c.origin)
		demand(strings.HasPrefix(msg, prefix), "the note %q has another form", msg)
		encoded := strings.TrimSuffix(msg[len(prefix):], "\n")
		signature, err := base64.StdEncoding.DecodeString(encoded)
		accept(err, "a signature")
		done.CheckpointsRefused += withstand(func() error {
			changed := fmt.Sprintf("%s\n— %s %s\n", c.text(), c.origin, base64.StdEncoding.EncodeToString(signature))
			_, err := note.Open([]byte(changed), note.VerifierList(verifier))
			switch err.(type) {
			case nil, *note.InvalidSignatureError, *note.UnverifiedNoteError:
				return err
			}
			log.Fatalf("the changed note was refused, but not for its signature: %v", err)
			return nil
		}, c.root[:], signature)
	}
	return checkpoints
}

// sign makes a checkpoint of all entries: its root is Go's, its key tallystick's.
func sign(key string, roots []tlog.Hash) string {
	signer, err := note.NewSigner(key)
	accept(err, "the private key")
	newest := checkpoint{signer.Name(), int64(len(roots)), roots[len(roots)-1]}
	signed, err := note.Sign(&note.Note{Text: newest.text()}, signer)
	accept(err, "signing")
	return string(signed)
}

// The tree

// storage holds hashes by their tlog.StoredHashIndex.
type storage []tlog.Hash

func (s storage) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(s)) {
			return nil, fmt.Errorf("no hash is stored at %d", index)
		}
		found[i] = s[index]
	}
	return found, nil
}

// checkRoots grows the tree leaf by leaf and compares its root at every size.
func checkRoots(given evidence, checkpoints []checkpoint, done *summary) []tlog.Hash {
	demand(len(given.Entries) == len(given.Roots), "%d entries and %d roots", len(given.Entries), len(given.Roots))
	var stored storage
	for n, entry := range given.Entries {
		demand(len(entry) == 64, "entry %d has %d bytes", n, len(entry))
		hashes, err := tlog.StoredHashes(int64(n), entry, stored)
		accept(err, "storing leaf %d", n)
		demand(hashes[0] == tlog.RecordHash(entry), "leaf %d has another hash", n)
		stored = append(stored, hashes...)
		root, err := tlog.TreeHash(int64(n)+1, stored)
		accept(err, "the root of %d leaves", n+1)
		demand(root == given.Roots[n], "the root of %d leaves is %v, not %v", n+1, root, given.Roots[n])
		done.Roots++
	}
	for _, c := range checkpoints {
		demand(c.size >= 1 && c.size <= int64(len(given.Roots)), "a checkpoint of %d leaves", c.size)
		root, err := tlog.TreeHash(c.size, stored)
		accept(err, "the root of %d leaves", c.size)
		demand(c.root == root, "the checkpoint of %d leaves has another root", c.size)
	}
	return given.Roots
}

// checkInclusion checks proofs against the roots in signed checkpoints.
func checkInclusion(given evidence, signed map[int64]tlog.Hash, done *summary) {
	for _, p := range given.Inclusion {
		root, known := signed[p.Size]
		demand(known, "no checkpoint of %d leaves for an inclusion proof", p.Size)
		leaf := tlog.RecordHash(given.Entries[p.Index])
		done.InclusionRefused += withstand(func() error {
			return tlog.CheckRecord(p.Path, p.Size, root, p.Index, leaf)
		}, parts(p.Path, &root, &leaf)...)
		done.Inclusion++
	}
}

// checkConsistency checks proofs between the roots in signed checkpoints.
func checkConsistency(given evidence, signed map[int64]tlog.Hash, done *summary) {
	for _, p := range given.Consistency {
		first, knownFirst := signed[p.First]
		second, knownSecond := signed[p.Second]
		demand(knownFirst && knownSecond, "no checkpoints of %d and %d leaves", p.First, p.Second)
		done.ConsistencyRefused += withstand(func() error {
			return tlog.CheckTree(p.Path, p.Second, second, p.First, first) // the larger tree comes first
		}, parts(p.Path, &first, &second)...)
		done.Consistency++
	}
}

// Tiles

// directory is a tlog.TileReader over the files of c2sp.org/tlog-tiles.
type directory string

func (d directory) Height() int                         { return tileHeight }
func (d directory) SaveTiles(_ []tlog.Tile, _ [][]byte) {}

func (d directory) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		content, width, err := d.read(t)
		if err != nil {
			return nil, err
		}
		if len(content) != width*tlog.HashSize {
			return nil, fmt.Errorf("%s has %d bytes for %d hashes", t.Path(), len(content), width)
		}
		data[i] = content[:t.W*tlog.HashSize]
	}
	return data, nil
}

// read returns the narrowest file that holds all of a tile, and that file's width.
func (d directory) read(t tlog.Tile) (content []byte, width int, err error) {
	for wider := t; wider.W <= tileWidth; wider.W++ {
		content, err = os.ReadFile(d.path(wider))
		if !os.IsNotExist(err) {
			return content, wider.W, err
		}
	}
	return nil, 0, err
}

// path is tlog's own without the height, which c2sp.org/tlog-tiles fixes, and with its name for level -1.
func (d directory) path(t tlog.Tile) string {
	path := strings.TrimPrefix(t.Path(), fmt.Sprintf("tile/%d/", tileHeight))
	if t.L == -1 {
		path = "entries/" + strings.TrimPrefix(path, "data/")
	}
	return filepath.Join(string(d), "tile", path)
}

// tilesOf lists the tiles of one level that hold the given number of hashes.
func tilesOf(level int, hashes int64) []tlog.Tile {
	var tiles []tlog.Tile
	for n := int64(0); n*tileWidth < hashes; n++ {
		width := hashes - n*tileWidth
		if width > tileWidth {
			width = tileWidth
		}
		tiles = append(tiles, tlog.Tile{H: tileHeight, L: level, N: n, W: int(width)})
	}
	return tiles
}

// entries reads the bundles: each entry after its length in two bytes.
func (d directory) entries(size int64) [][]byte {
	var entries [][]byte
	for _, t := range tilesOf(-1, size) {
		content, width, err := d.read(t)
		accept(err, "the entries %s", d.path(t))
		demand(width == t.W, "%s is missing", d.path(t))
		for i := 0; i < width; i++ {
			demand(len(content) >= 2, "%s ends before entry %d", d.path(t), i)
			length := int(binary.BigEndian.Uint16(content))
			demand(len(content) >= 2+length, "%s ends within entry %d", d.path(t), i)
			entries = append(entries, content[2:2+length])
			content = content[2+length:]
		}
		demand(len(content) == 0, "%s goes on after its last entry", d.path(t))
	}
	return entries
}

// damaged is a directory with one bit flipped in one tile.
type damaged struct {
	directory
	tile tlog.Tile
	at   int
}

func (d damaged) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data, err := d.directory.ReadTiles(tiles)
	for i := range data {
		if tiles[i] == d.tile {
			data[i][d.at] ^= 1
		}
	}
	return data, err
}

// checkTiles proves every record of every signed tree from the tiles alone: those of smaller trees are there
// only as parts of wider ones.
func checkTiles(given evidence, checkpoints []checkpoint, verifier note.Verifier, done *summary) {
	tiles := directory(given.Tiles)
	msg, err := os.ReadFile(filepath.Join(given.Tiles, "checkpoint"))
	accept(err, "the checkpoint of the tiles")
	newest, err := openCheckpoint(msg, verifier)
	accept(err, "the checkpoint of the tiles")
	demand(newest == checkpoints[len(checkpoints)-1], "the tiles have another checkpoint: %v", newest)

	entries := tiles.entries(newest.size)
	demand(len(entries) == len(given.Entries), "the tiles hold %d entries", len(entries))
	for n, entry := range entries {
		demand(string(entry) == string(given.Entries[n]), "the tiles have another entry %d", n)
	}
	for _, c := range checkpoints {
		for n := int64(0); n < c.size; n++ {
			accept(checkTileRecord(tiles, c, n, entries[n]), "leaf %d of %d from tiles", n, c.size)
			done.TileRecords++
		}
	}
	span := int64(1) // leaves below one hash
	for level, hashes := 0, newest.size; hashes > 0; level, hashes = level+1, hashes/tileWidth {
		for _, t := range tilesOf(level, hashes) {
			for i := 0; i < t.W; i++ {
				n := (t.N*tileWidth + int64(i)) * span
				err := checkTileRecord(damaged{tiles, t, i * tlog.HashSize}, newest, n, entries[n])
				demand(err != nil, "a flipped bit in hash %d of %s was not noticed", i, tiles.path(t))
				done.TilesRefused++
			}
		}
		span *= tileWidth
	}
}

// checkTileRecord finds a leaf's hash in the tiles and proves it from them. The proof is checked, although a
// TileHashReader says that it checks all tiles: x/mod 0.7.0 leaves out some where peaks of the tree share a tile.
func checkTileRecord(tiles tlog.TileReader, c checkpoint, n int64, entry []byte) error {
	reader := tlog.TileHashReader(tlog.Tree{N: c.size, Hash: c.root}, tiles)
	leaf, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, n)})
	if err != nil {
		return err
	}
	if leaf[0] != tlog.RecordHash(entry) {
		return fmt.Errorf("the tile has another hash for leaf %d", n)
	}
	proof, err := tlog.ProveRecord(c.size, n, reader)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, c.size, c.root, n, leaf[0])
}

// Small parts

// withstand demands that check accepts the parts as they are and refuses them with any one bit flipped.
// It returns the number of bits.
func withstand(check func() error, parts ...[]byte) int {
	accept(check(), "a check")
	refused := 0
	for which, part := range parts {
		for bit := 0; bit < 8*len(part); bit++ {
			part[bit/8] ^= 1 << (bit % 8)
			demand(check() != nil, "a flipped bit (%d of part %d) was not noticed", bit, which)
			part[bit/8] ^= 1 << (bit % 8)
			refused++
		}
	}
	return refused
}

func parts(path []tlog.Hash, more ...*tlog.Hash) [][]byte {
	var all [][]byte
	for i := range path {
		all = append(all, path[i][:])
	}
	for _, hash := range more {
		all = append(all, hash[:])
	}
	return all
}

func accept(err error, format string, args ...interface{}) {
	demand(err == nil, "%s: %v", fmt.Sprintf(format, args...), err)
}

func demand(holds bool, format string, args ...interface{}) {
	if !holds {
		log.Fatalf(format, args...)
	}
}
